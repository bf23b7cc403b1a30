"""Which GL library draws, decided before MuJoCo is imported, because MuJoCo decides at import."""

from __future__ import annotations

import ctypes.util
import os
import sys

from envs.errors import UserError

LIBRARIES = {"egl": "EGL", "osmesa": "OSMesa", "glfw": "GL"}
INSTALL = "sudo apt-get install -y libegl1 libgl1-mesa-dri"


class GLMissing(UserError, RuntimeError):
    """No GL library for headless rendering, or not the one that was asked for."""


def choose_backend() -> str:
    """Set MUJOCO_GL (and PYOPENGL_PLATFORM) and return it: the user's own choice, else EGL, else OSMesa.

    Raises `GLMissing` with the command that mends it, and if mujoco was imported under another choice.
    """
    wanted = os.environ.get("MUJOCO_GL", "").lower()
    if wanted and wanted not in LIBRARIES:
        raise GLMissing(f"MUJOCO_GL={wanted} is none of {', '.join(LIBRARIES)}; unset it or choose one of them")
    for backend in [wanted] if wanted else ["egl", "osmesa"]:
        if ctypes.util.find_library(LIBRARIES[backend]):
            if "mujoco" in sys.modules and os.environ.get("MUJOCO_GL", "").lower() != backend:
                raise GLMissing("mujoco was imported before the GL backend was chosen; import envs.render first")
            os.environ["MUJOCO_GL"] = backend
            if backend != "glfw":
                os.environ["PYOPENGL_PLATFORM"] = backend
            return backend
    missing = LIBRARIES[wanted] if wanted else "EGL"
    raise GLMissing(f"the GL library lib{missing} is not installed, so nothing can be rendered. Run: {INSTALL}")


def gl_fingerprint() -> str:
    """Backend, driver and version of the current GL context, such as `egl llvmpipe (LLVM 15.0.6) 4.5 Mesa 22.3.6`."""
    from OpenGL import GL

    def name(key: int) -> str:
        value = GL.glGetString(key)
        return value.decode() if value else "unknown"

    return f"{os.environ.get('MUJOCO_GL', '?')} | {name(GL.GL_RENDERER)} | {name(GL.GL_VERSION)}"
