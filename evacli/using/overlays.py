"""Pictures of where the network looked in what it predicts, drawn a few at a time, however many there are."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from evacli.backend import keras
from evacli.explaining.explain import chosen_layer, heading
from evacli.explaining.heatmap import heat_maps
from evacli.explaining.options import Method
from evacli.figures.gradcam import Explanation, Singles, grid
from evacli.figures.style import save_once, save_pixels
from evacli.formats import count
from evacli.models import saved
from evacli.run.directory import Overlays, make_folder
from evacli.run.gradcam_files import name_of_prediction, remove_singles
from evacli.using.prediction import MOST_IN_GRID, Prediction


class Drawing:
    """Draws a picture of each prediction as it comes, and of the first ones a grid."""

    def __init__(self, network: keras.Model, layer: str | None, method: Method, *, tta: bool) -> None:
        """Choose the layer; ConfigError if that cannot be."""
        self.network = network
        self.layer, self._method = chosen_layer(network, network.input_shape[1:], layer, method), method
        self._title, self._subtitle = heading(self.layer, "pred", method, tta=tta)
        self._singles = Singles(self._title, self._subtitle)
        self._first: list[Explanation] = []
        self._files: set[Path] = set()

    def draw(
        self, where: Overlays, predictions: Sequence[Prediction], images: NDArray[np.uint8], classes: list[int]
    ) -> Iterator[Path]:
        """Write a picture for each prediction, and yield where it is.

        Args:
            where: the pictures go.
            predictions: what the network said.
            images: (B, H, W, 3) of what.
            classes: the index of the class that each prediction names.
        """
        make_folder(where.folder)
        with saved.using(self.network):
            maps = heat_maps(self.network, images, np.array(classes)[:, None], self.layer, self._method)
        for said, image, heat in zip(predictions, images, maps, strict=True):
            index = len(self._files)
            explanation = Explanation(
                index=index,
                image=image,
                predicted=said.predicted,
                predicted_probability=said.probability,
                true=None,
                true_probability=0,
                maps=heat,
                name=Path(said.picture).name,
            )
            file = where.folder / name_of_prediction(index, said.picture, said.predicted)
            save_pixels(self._singles.pixels(explanation), file)
            self._files.add(file)
            if index < MOST_IN_GRID:
                self._first.append(explanation)
            yield file

    def finish(self, where: Overlays) -> None:
        """Write the grid, and remove what an earlier call has left; nothing if no picture could be read."""
        if not self._first:
            return
        some = f" These are the first {MOST_IN_GRID} of {count(len(self._files))} pictures."
        fewer = some if len(self._files) > MOST_IN_GRID else ""
        save_once(grid(self._first, self._title, self._subtitle + fewer), where.grid)
        remove_singles(where.folder, self._files)
