"""The count of operations in examples/, against one by hand and one by TensorFlow."""

import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_run import make_data, make_run

from evacli.run import summary
from evacli.run.directory import RunDir

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))

import accuracy_by_compute

from evacli import models
from evacli.backend import keras, tf

IMAGE = (32, 32, 3), 10, (125.0, 123.0, 114.0), (63.0, 62.0, 67.0)


def test_training_costs_three_passes_but_for_the_first_layers_inputs():
    # Multiplications of the convolutions of eva, block by block.
    first = 27 * 32 * 32**2
    others = (
        288 * 64 * 32**2
        + (64 * 32 + 288 * 64 + 576 * 128) * 16**2
        + (128 * 32 + 288 * 128 + 1152 * 256) * 8**2
        + 256 * 10 * 4**2
    )
    assert accuracy_by_compute.training_flops(models.build("eva", *IMAGE)) == 2 * (2 * first + 3 * others)


def test_what_does_not_train_is_computed_once():
    whitening, block = 12 * 24 * 31**2, 9 * (24 * 64 * 31**2 + 64 * 64 * 15**2)
    block += 9 * (64 * 256 * 15**2 + 256 * 256 * 7**2) + 9 * (256 * 256 * 7**2 + 256 * 256 * 3**2) + 256 * 10
    inputs_of_the_first = 9 * 24 * 64 * 31**2
    expected = 2 * (whitening + 3 * block - inputs_of_the_first)
    assert accuracy_by_compute.training_flops(models.build("airbench", *IMAGE)) == expected


@pytest.mark.parametrize("name", ["eva", "resnet9", "airbench"])
def test_a_forward_pass_is_what_tensorflow_counts(name):
    model = models.build(name, *IMAGE)
    images = tf.TensorSpec((1, 32, 32, 3), tf.float32)
    graph = tf.function(lambda x: model(x, training=False)).get_concrete_function(images).graph
    # TensorFlow's profiler counts the same kernels by their shapes.
    counted = tf.compat.v1.profiler.profile(graph, options=_only_kernels()).total_float_ops
    model.trainable = False
    assert accuracy_by_compute.training_flops(model) == counted


def _only_kernels():
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    options["account_type_regexes"] = ["Conv2D", "MatMul"]
    return options


def test_a_network_inside_a_network_costs_the_same():
    inner = models.build("resnet20", *IMAGE)
    pixels = keras.Input(IMAGE[0])
    outer = keras.Model(pixels, inner(keras.layers.Rescaling(1.0)(pixels)))
    assert accuracy_by_compute.training_flops(outer) == accuracy_by_compute.training_flops(inner)


def test_the_history_of_a_run_gets_its_costs(tmp_path):
    run = make_run(tmp_path / "short", make_data()).path
    trained = summary.read(RunDir(run))
    course = accuracy_by_compute.course(run)
    assert course.name.startswith(f"short ({trained.model}, top ")
    per_epoch = trained.train_images * accuracy_by_compute.training_flops(keras.models.load_model(run / "best.keras"))
    assert course.flops == [(epoch + 1) * per_epoch for epoch in range(len(course.accuracy))]
    assert per_epoch > 0
    assert np.all(np.diff(course.seconds) > 0)
    figure = accuracy_by_compute.draw([course])
    assert [axes.get_xlabel() for axes in figure.axes] == ["seconds of training", "training FLOPs"]
