"""Errors that are the environment's, not the module's: what is missing here, and what to do about it."""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Literal

Kind = Literal["package", "download", "file", "device"]

DISTRIBUTIONS = {
    "cv2": "opencv-python",
    "lightning": "lightning",
    "PIL": "pillow",
    "pytorch_lightning": "pytorch-lightning",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
FACTORY = "--lightning-module=path/to/file.py:make_module"
NO_DOWNLOAD = (
    f"Run once where there is a network, so that the download is cached; or give a factory that downloads nothing: "
    f"{FACTORY}"
)
TORCHVISION = (
    "The installed torchvision does not match the installed torch: uninstall it, or reinstall it for the same torch."
)


@dataclass(frozen=True)
class EnvironmentProblem:
    """What the environment lacks.

    Args:
        kind: The group that it belongs to.
        message: What is missing, in one sentence.
        advice: What to do next.
    """

    kind: Kind
    message: str
    advice: str


def environment_problem(error: BaseException | None) -> EnvironmentProblem | None:
    """What the environment lacks, where that is why ``error`` was raised; None for an error of the code's own.

    The errors that led to ``error`` are looked at, too: libraries like to raise their own instead.
    """
    for each in _chain(error):
        for look in (_package, _device, _download, _file):
            problem = look(each)
            if problem is not None:
                return problem
    return None


def told(error: BaseException) -> str:
    """An exception in one sentence, with what the environment lacks where that is its reason."""
    said = shorten(f"{type(error).__name__}: {error}", 200, placeholder="...")
    problem = environment_problem(error)
    return f"{said} (the environment's error: {problem.message})" if problem else said


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _package(error: BaseException) -> EnvironmentProblem | None:
    text = str(error)
    if "torchvision::nms" in text:
        message = (
            "the installed torchvision was built for another torch (one for CUDA beside a torch for the CPU, say), "
            "which breaks the import of torchvision, of torchmetrics and so of Lightning"
        )
        return EnvironmentProblem("package", message, TORCHVISION)
    if not isinstance(error, ImportError):
        return None
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing and missing.partition(".")[0] not in sys.modules:
        return EnvironmentProblem("package", f"the package `{missing}` is not installed", install_advice(missing))
    told = re.search(
        r"requires the (\S+) library|[Mm]issing optional dependency '?([\w-]+)|pip install '?\"?([\w\[\]-]+)", text
    )
    if told:
        name = next(filter(None, told.groups())).strip("`'\"")
        return EnvironmentProblem("package", f"the package `{name}` is not installed", f"pip install {name}")
    return None


def install_advice(name: str) -> str:
    """How to get a module that is missing."""
    top = name.partition(".")[0]
    if top == "pkg_resources":
        return 'pip install "setuptools<81" (Lightning before 2.4 imports pkg_resources, gone since 81)'
    return f"pip install {DISTRIBUTIONS.get(top, top)}, or set PYTHONPATH to the folder that holds `{top}`."


_DEVICE = re.compile(
    r"not compiled with (?P<a>CUDA|HIP|ROCm)|not compiled with (?P<m>MPS)|[Nn]o (?P<b>NVIDIA|CUDA|HIP) (driver|GPUs?)|"
    r"(?P<e>CUDA) device but torch\.cuda\.is_available\(\) is False|"
    r"No supported gpu backend|`?(?P<c>CUDA|MPS)Accelerator`? can ?not run|(?P<d>CUDA) driver version is insufficient|"
    r"PyTorch is not linked with support for (?P<f>cuda|mps) devices"
)


# A kernel that the CPU has not; of the operations named last, no device has one.
_KERNEL = re.compile(
    r"\"(?!cholesky|lu_|linalg|triangular|geqrf|orgqr|lstsq|eig|svd|cdist|ctc_loss|hist)(?P<name>\w+)\" "
    r"not implemented for '(?P<dtype>BFloat16|Half)'"
)


def _device(error: BaseException) -> EnvironmentProblem | None:
    kernel = _KERNEL.search(str(error))
    if kernel is not None:
        message = f"this torch has no kernel `{kernel['name']}` for {kernel['dtype']} on this device"
        return EnvironmentProblem("device", message, "Run on a GPU, or with a newer torch.")
    found = _DEVICE.search(str(error))
    if found is None:
        return None
    name = next(filter(None, found.groupdict().values()), "GPU").upper()
    name = "CUDA" if name == "NVIDIA" else name
    return EnvironmentProblem(
        "device",
        f"{name} is asked for, and there is none here",
        "Run where there is one; or take the device from the module: self.device in place of .cuda() and 'cuda', "
        "torch.load(..., map_location='cpu').",
    )


_NETWORK_PACKAGES = ("requests", "urllib3", "httpx", "httpcore", "aiohttp", "huggingface_hub", "botocore", "ssl")
_NETWORK_NAMES = ("URLError", "HTTPError", "ContentTooShortError", "gaierror", "herror", "RemoteDisconnected")
_NETWORK_TEXT = re.compile(
    r"couldn't connect to|[Cc]an't load .* for '|is not a valid model identifier|Name or service not known|"
    r"Temporary failure in name resolution|offline mode is enabled|Please use the NLTK Downloader|"
    r"use download=True|Max retries exceeded|Can't find model '"
)


def _download(error: BaseException) -> EnvironmentProblem | None:
    classes = type(error).__mro__
    by_class = any(
        cls.__module__.partition(".")[0] in _NETWORK_PACKAGES
        or (cls.__name__ in _NETWORK_NAMES and cls.__module__.partition(".")[0] in ("urllib", "socket", "http"))
        for cls in classes
    )
    by_kind = isinstance(error, ConnectionError | TimeoutError)
    if not (by_class or by_kind or _NETWORK_TEXT.search(str(error))):
        return None
    if type(error).__module__.startswith("huggingface_hub") and "Validation" in type(error).__name__:
        return None
    return EnvironmentProblem("download", "a download or a connection fails", NO_DOWNLOAD)


_FILE_ERRNOS = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC)


def _file(error: BaseException) -> EnvironmentProblem | None:
    is_missing = isinstance(error, FileNotFoundError | NotADirectoryError)
    if not (is_missing or (isinstance(error, OSError) and error.errno in _FILE_ERRNOS)):
        return None
    assert isinstance(error, OSError)
    named = error.filename if isinstance(error.filename, str | bytes | Path) else ""
    name = named.decode(errors="replace") if isinstance(named, bytes) else str(named)
    what = f"the file {name}" if name else "a file"
    if error.errno == errno.ENOSPC:
        return EnvironmentProblem("file", "there is no space left on the disk", "Make room.")
    if not is_missing:
        return EnvironmentProblem("file", f"{what} cannot be used here ({error.strerror})", "Give access to it.")
    advice = f"Run from the folder that it lies below, or give a factory that does not read it: {FACTORY}"
    return EnvironmentProblem("file", f"{what} is not here", advice)
