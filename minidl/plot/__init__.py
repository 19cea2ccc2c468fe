"""Pictures of training: curves, confusion matrix, reports, predictions, grids of images, filters, embeddings."""

from minidl.plot.confusion import confusion_matrix
from minidl.plot.curves import comparison, curves
from minidl.plot.embedding import embedding, tsne
from minidl.plot.filters import filters
from minidl.plot.graph import graph
from minidl.plot.grid import make_grid
from minidl.plot.images import image_grid, predictions
from minidl.plot.report import classification_report

__all__ = [
    "classification_report",
    "comparison",
    "confusion_matrix",
    "curves",
    "embedding",
    "filters",
    "graph",
    "image_grid",
    "make_grid",
    "predictions",
    "tsne",
]
