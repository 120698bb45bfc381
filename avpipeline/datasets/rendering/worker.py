"""One rendering process: `python -m avpipeline.datasets.rendering.worker FOLDER PART PARTS`, started by `clips`."""

import sys

from avpipeline.datasets.rendering.clips import INPUT_ERROR_STATUS, render_part
from avpipeline.errors import InputError


def main(folder: str, part: str, parts: str) -> int:
    try:
        render_part(folder, int(part), int(parts))
    except InputError as error:
        print(error)
        return INPUT_ERROR_STATUS
    except KeyboardInterrupt:
        # Ctrl-C reaches all processes of a terminal; the one that started this reports it.
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
