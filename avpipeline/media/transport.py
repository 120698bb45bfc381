"""Arrays between this process and those that decode."""

from multiprocessing.connection import Connection

import numpy as np


def send_array(connection: Connection, array: np.ndarray) -> None:
    """Sends an array as it lies in memory."""
    array = np.ascontiguousarray(array)
    connection.send((array.shape, array.dtype.str))
    if array.size:
        connection.send_bytes(array.reshape(-1).view(np.uint8))


def receive_array(connection: Connection) -> np.ndarray:
    """The array that `send_array` sent at the other end."""
    shape, dtype = connection.recv()
    array = np.empty(shape, dtype)
    if array.size:
        connection.recv_bytes_into(array.reshape(-1).view(np.uint8))
    return array
