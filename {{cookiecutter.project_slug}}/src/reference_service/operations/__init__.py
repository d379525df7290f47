"""What operators can change while the service runs, on the management port and with a token."""

from .app import OperationsApp as OperationsApp
from .switches import ReadOnlyMode as ReadOnlyMode
from .switches import Switches as Switches
