"""The training loop and what surrounds it: progress, history, metrics, weights on disk, checkpoints."""

from minidl.train.checkpoint import load_checkpoint, read_notes, save_checkpoint
from minidl.train.early_stopping import EarlyStopping
from minidl.train.history import History
from minidl.train.loop import Figures, RunningFigures, Step, evaluate, predict, train_epoch, training_step
from minidl.train.metrics import accuracy, classification_report, confusion_matrix
from minidl.train.progress import Progress
from minidl.train.weights import load, load_metadata, save

__all__ = [
    "EarlyStopping",
    "Figures",
    "History",
    "Progress",
    "RunningFigures",
    "Step",
    "accuracy",
    "classification_report",
    "confusion_matrix",
    "evaluate",
    "load",
    "load_checkpoint",
    "load_metadata",
    "predict",
    "read_notes",
    "save",
    "save_checkpoint",
    "train_epoch",
    "training_step",
]
