"""What a submission may use."""

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """What a submission may use. Everything is generous: the limits stop accidents and attacks, they do not measure quality."""

    seconds: float = 20.0  # of one request; time in which others had the processor does not count where the system tells it
    cpu_seconds: float = 120.0  # of processor time in the worker's whole life
    memory: int = 2 * 2**30  # bytes beyond what the preloaded libraries take
    scratch: int = 64 * 2**20  # bytes in the directory for temporary files
    open_files: int = 64
    threads: int = 256
    callbacks: int = 1_000_000  # of one request
    answer: int = 64 * 2**20  # bytes of one answer, or of the arguments of one callback
    received: int = 2**30  # bytes that the grader takes in during one request
