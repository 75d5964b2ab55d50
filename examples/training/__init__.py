"""What the rungs' trainings share. Says to the numeric libraries what they look for when they are
loaded, so it comes before torch.
"""

import os

# OpenBLAS 0.3.21 takes newer CPUs for very old ones unless told.
try:
    with open("/proc/cpuinfo") as cpuinfo:
        if "avx512_bf16" in cpuinfo.read():
            os.environ.setdefault("OPENBLAS_CORETYPE", "Cooperlake")
except OSError:
    pass

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # it does not know of torch's threads
