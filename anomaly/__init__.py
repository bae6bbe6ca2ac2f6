"""The library: frames and arrays in, frames and arrays out; it touches no file, clock or process."""

__version__ = "0.1.0"
