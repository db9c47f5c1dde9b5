"""How did it get there? A history step by step, forwards and backwards."""

from xcstore.ui import replay, replay_picker
from xcstore.ui.replay_track import chosen

wanted = chosen()
if wanted is None:
    replay_picker.pick()
else:
    replay.show(wanted)
