"""Could this store be restored from what is in it: how do its snapshots stand, and what would come back?"""

from xcstore.ui import restore

restore.show(restore.part())
