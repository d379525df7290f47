"""What operators can change while the service runs, on the management port and with a token."""

from .app import operations_mounts as operations_mounts
from .switches import ReadOnlyMode as ReadOnlyMode
from .switches import Switches as Switches
