"""Pictures of training: curves, confusion matrix, images with their predictions, grids of images."""

from minidl.plot.confusion import confusion_matrix
from minidl.plot.curves import curves
from minidl.plot.grid import make_grid
from minidl.plot.images import image_grid, predictions

__all__ = ["confusion_matrix", "curves", "image_grid", "make_grid", "predictions"]
