"""What the tests of this folder share: hypothesis' settings for servers whose answers take their time.

`--hypothesis-profile=NAME` on the command line wins over them.
"""

from hypothesis import settings

settings.load_profile("llmserve")
