"""Sessions of onnxruntime. No torch."""

from typing import Any

CPU_PROVIDER, CUDA_PROVIDER = "CPUExecutionProvider", "CUDAExecutionProvider"


def available_providers() -> list[str]:
    """What the installed onnxruntime can compute on, by its names."""
    from onnxruntime import get_available_providers  # of an optional extra

    providers: list[str] = get_available_providers()
    return providers


def open_session(content: bytes, *, threads: int = 0, gpu: int | None = None) -> Any:  # noqa: ANN401  # it has no types
    """A session of onnxruntime.

    Args:
        content: The file's bytes.
        threads: Number of threads of the processor; 0 for one per core.
        gpu: Number of the GPU; None for the processor alone.
    """
    from onnxruntime import InferenceSession, SessionOptions  # of an optional extra

    options = SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4  # what is wrong is in the exception
    providers: list[Any] = [CPU_PROVIDER]
    if gpu is not None:  # factors would be rounded to 10 bits otherwise
        providers.insert(0, (CUDA_PROVIDER, {"device_id": gpu, "use_tf32": 0}))
    return InferenceSession(content, options, providers=providers)
