"""Run inside the CUDA image by tools/image_check.py: which of its CUDA libraries can't be used. Prints one a line.

Every library in the wheels is opened; what only lacks the driver is well. Those that TensorFlow and cuDNN open by name
must also lie where the loader looks on their behalf: it is asked for its search path, RUNPATH included.
"""

import ctypes
import glob
import os
import sysconfig

SITE = sysconfig.get_path("purelib")
OPENED_BY_NAME = {
    f"{SITE}/tensorflow/libtensorflow_framework.so.2": (
        "libcudart.so.12",
        "libcublas.so.12",
        "libcublasLt.so.12",
        "libcufft.so.11",
        "libcusolver.so.11",
        "libcusparse.so.12",
        "libcudnn.so.9",
        "libcupti.so.12",
    ),
    f"{SITE}/nvidia/cudnn/lib/libcudnn.so.9": (
        "libcudnn_adv.so.9",
        "libcudnn_cnn.so.9",
        "libcudnn_graph.so.9",
        "libcudnn_ops.so.9",
        "libcudnn_engines_precompiled.so.9",
        "libcudnn_engines_runtime_compiled.so.9",
        "libcudnn_heuristic.so.9",
    ),
    f"{SITE}/nvidia/cudnn/lib/libcudnn_graph.so.9": ("libnvrtc.so.12",),
}
"""TensorFlow's are those that its DsoLoader has functions for, without NCCL, which is left out on purpose."""
_RTLD_DI_SERINFO, _RTLD_DI_SERINFOSIZE = 4, 5


class _Folder(ctypes.Structure):
    _fields_ = (("name", ctypes.c_char_p), ("flags", ctypes.c_uint))


def search_path(library: ctypes.CDLL) -> list[str]:
    """Where the loader looks for what a library opens (dlinfo)."""
    dlinfo = ctypes.CDLL(None).dlinfo
    dlinfo.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
    head = (ctypes.c_size_t * 2)()
    assert dlinfo(library._handle, _RTLD_DI_SERINFOSIZE, head) == 0
    room = ctypes.create_string_buffer(head[0])
    ctypes.memmove(room, head, ctypes.sizeof(head))
    assert dlinfo(library._handle, _RTLD_DI_SERINFO, room) == 0
    count = ctypes.c_uint.from_buffer(room, ctypes.sizeof(ctypes.c_size_t)).value
    folders = (_Folder * count).from_buffer(room, 2 * ctypes.sizeof(ctypes.c_size_t))
    return [folder.name.decode() for folder in folders]


def problems() -> list[str]:
    """What can't be used, and why."""
    found = []
    for path in sorted(glob.glob(f"{SITE}/nvidia/*/lib/*.so*")):
        try:
            ctypes.CDLL(path)
        except OSError as error:
            if "libcuda.so.1" not in str(error):
                found.append(str(error))
    for library, names in OPENED_BY_NAME.items():
        folders = search_path(ctypes.CDLL(library))
        found += [
            f"{name} is on no path of {os.path.basename(library)}"
            for name in names
            if not any(os.path.exists(f"{folder}/{name}") for folder in folders)
        ]
    return found


if __name__ == "__main__":
    print("\n".join(problems()))
