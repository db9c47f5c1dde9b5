"""The demo: three components written for it, and a history of thirty days that the runtime makes from them."""

from xcstore.demo.generator import DEMO_END, generate_demo
from xcstore.demo.report import DemoReport, PlantedAnomaly, Story

__all__ = ["DEMO_END", "DemoReport", "PlantedAnomaly", "Story", "generate_demo"]
