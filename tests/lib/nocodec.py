"""nocodec.py - a preloaded library in which every compressor and decompressor is a trap.

Why: that stored bytes are sent undecoded could be believed from equal bytes alone, if compressing again did not happen to
give the same. With this the first call ends the process with a message instead.
"""
import os

import procs

_FUNCTIONS = ("LZ4_compress_default LZ4_compress_fast LZ4_compress_fast_extState LZ4_compress_HC LZ4_compress_HC_extStateHC "
              "LZ4_compress_fast_continue LZ4_compress_HC_continue LZ4F_compressFrame LZ4F_compressFrame_usingCDict "
              "LZ4F_compressBegin LZ4F_compressUpdate LZ4_decompress_safe LZ4F_decompress LZ4F_decompress_usingDict "
              "ZSTD_compress ZSTD_compress2 ZSTD_compressCCtx ZSTD_compressStream ZSTD_compressStream2 ZSTD_decompress "
              "ZSTD_decompressDCtx ZSTD_decompressStream deflate inflate snappy_compress snappy_uncompress").split()


def environment(directory):
    """Builds the library in `directory`; the environment that preloads it."""
    source, library = os.path.join(directory, "nocodec.c"), os.path.join(directory, "nocodec.so")
    with open(source, "w") as f:
        f.write("#include <stdlib.h>\n#include <unistd.h>\n")
        for name in _FUNCTIONS:
            text = f"nocodec: {name} was called"
            f.write(f'void {name}(void);\nvoid {name}(void) {{ (void)!write(2, "{text}\\n", {len(text) + 1}); abort(); }}\n')
    rc, _, err = procs.run([os.environ.get("CC", "cc"), "-shared", "-fPIC", "-o", library, source])
    assert rc == 0, err.decode(errors="replace")
    return {"LD_PRELOAD": library}
