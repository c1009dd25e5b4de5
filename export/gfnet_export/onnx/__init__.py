"""Networks as ONNX files: conversion, fewer bits, rewrites for a CPU."""
