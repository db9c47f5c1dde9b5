"""Which instances are there, and what happened to one of them?"""

from xcstore.ui import instance_list, instances, state

instance_id = state.text("instance")
if instance_id:
    instances.show_one(instance_id)
else:
    instance_list.show_list()
