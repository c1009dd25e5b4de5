"""The exceptions of this project.

Every message says what was wrong, where, and what to do.  The command line turns any
:class:`GFNetError` into one line on standard error and exit code 2.
"""


class GFNetError(Exception):
    """Base of every error that a user can mend."""


class ConfigError(GFNetError):
    """A configuration value is out of range or contradicts another."""


class DataError(GFNetError):
    """A dataset, a folder or a list of images cannot be used."""


class ImageError(GFNetError):
    """One image cannot be read; the message names it."""


class CheckpointError(GFNetError):
    """A file is not a checkpoint of the network that was asked for."""


class BudgetError(GFNetError):
    """Thresholds or a budget cannot be met by this network."""


class BundleError(GFNetError):
    """A bundle is missing, incomplete, altered or of another version."""


class NetworkError(GFNetError):
    """A network gives values that are NaN or infinite."""


class TrainingError(GFNetError):
    """Training cannot start or go on."""


class ExportError(GFNetError):
    """A network cannot be exported as asked."""


class ServingError(GFNetError):
    """A server takes no more requests for now, or ends before it has answered one."""


class MissingPackageError(GFNetError):
    """A third-party package is not installed; the message names the extra that brings it."""


class MilError(GFNetError):
    """A Core ML package is damaged, or holds what the interpreter does not know."""
