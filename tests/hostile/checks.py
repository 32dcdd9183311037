"""Every check by its name."""
from checks_channel import *  # noqa: F401,F403
from checks_engine import *  # noqa: F401,F403
from checks_limits import *  # noqa: F401,F403
from checks_network import *  # noqa: F401,F403
from checks_process import *  # noqa: F401,F403
