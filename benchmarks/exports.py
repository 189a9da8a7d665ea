"""Every network in every format: how far an exported network is from the one in Keras, its size and its speed.

Each network is trained for some steps on the digits that come with scikit-learn; what it has learnt does not matter.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import evacli
from evacli import console
from evacli.catalogue.exports import EXPORTS
from evacli.catalogue.networks import NETWORKS
from evacli.errors import EvacliError

KINDS = [(name, quantize) for name, spec in EXPORTS.items() for quantize in (None, *spec.quantize)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--networks", nargs="+", default=[*NETWORKS])
    parser.add_argument("--formats", nargs="+", default=[*EXPORTS], choices=EXPORTS)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--images", type=int, default=320, help="to train on")
    parser.add_argument("--tests", type=int, default=200, help="to compare on")
    parser.add_argument("--image-size", type=int, help="in pixels; networks of keras.applications want 32 at least")
    options = parser.parse_args()
    console.configure(quiet=True)
    print("| network | format | largest difference | other class | accuracy | size, MB | images/s | times Keras |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    with TemporaryDirectory() as folder:
        for network in options.networks:
            run, limits = Path(folder) / network, {"limit_train": options.images, "limit_test": options.tests}
            settings: dict[str, Any] = {"dataset": "digits", "batch_size": 32, "lr": 0.01, "epochs": options.epochs}
            if options.image_size:
                settings["image_size"] = options.image_size
            evacli.train(run, model=network, precision="float32", **settings, **limits)
            for format, quantize in KINDS:
                if format in options.formats:
                    print(line(run, format, quantize), flush=True)


def line(run: Path, format: str, quantize: str | None) -> str:
    """Return a row of the table."""
    name = f"| {run.name} | {format} {quantize or ''} |"
    try:
        found = evacli.export(run, format, quantize=quantize, tolerance=1)
    except EvacliError as e:
        return f"{name} {e.message} | | | | | |"
    faster = found.images_per_second / found.keras_images_per_second
    cells = (
        f"{found.largest_difference:.1g}",
        f"{found.other_class / found.images:.1%}",
        f"{found.accuracy:.2%} (Keras {found.keras_accuracy:.2%})",
        f"{found.bytes / 1e6:.2f}",
        f"{found.images_per_second:,.0f}",
        f"{faster:.2f}",
    )
    return f"{name} {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
