"""The graph written from the weights beside the one that tf2onnx makes of the same Keras model."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf2onnx

from trainer.export.graph import Graph
from trainer.export.net import read_weights, write_net
from trainer.forecast import open_session
from trainer.networks.architecture import ARCHITECTURES
from trainer.networks.build import build_network


def test_tf2onnx_gives_the_same_numbers_with_a_loop_where_ours_has_a_gru() -> None:
    model = build_network("fast", 60, 9, seed=4)
    signature = [tf.TensorSpec((None, 60, 9), tf.float32, name="features")]
    traced = tf.function(lambda windows: model(windows, training=False), input_signature=signature)
    theirs, _ = tf2onnx.convert.from_function(traced, input_signature=signature, opset=17)

    graph = Graph()
    features = graph.input("features", np.float32, ["batch", 60, 9])
    graph.output("scaled", write_net(graph, features, ARCHITECTURES["fast"], read_weights(model)), ["batch", 1])
    ours = graph.finish("net", {})

    windows = np.random.default_rng(0).normal(size=(32, 60, 9)).astype(np.float32)
    by_them, by_us = (
        open_session(made.SerializeToString()).run(None, {"features": windows})[0] for made in (theirs, ours)
    )
    assert np.abs(by_them - by_us).max() < 1e-5
    assert by_us.std() > 1e-3
    assert "Loop" in {node.op_type for node in theirs.graph.node}
    assert "GRU" in {node.op_type for node in ours.graph.node}
