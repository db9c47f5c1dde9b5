"""People, articles, carriers and words of the demo: data only. Some of it is there to be difficult."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = [
    "ARTICLES",
    "CARRIERS",
    "CITIES",
    "CUSTOMERS",
    "DECLINES",
    "DEPOTS",
    "HOSTILE_NOTES",
    "NOTES",
    "PACKERS",
    "REVIEWS",
    "Article",
]


@dataclass(frozen=True, slots=True)
class Article:
    sku: str
    name: str
    price_cents: int
    on_hand: int
    reorder_at: int
    restock: int


ARTICLES: Final = tuple(
    Article(f"SKU-{1000 + number * 7}", name, price, on_hand, reorder_at, restock)
    for number, (name, price, on_hand, reorder_at, restock) in enumerate(
        [
            ("Espresso machine “Barista”", 38900, 38, 9, 40),
            ("Kettle, 1.7 l", 4990, 34, 8, 40),
            ("Moka pot", 2995, 40, 8, 40),
            ("Hand grinder", 8950, 21, 6, 30),
            ("Filter papers (100)", 495, 70, 15, 90),
            ("Café crème, 1 kg", 2290, 44, 12, 60),
            ("Thé vert 玉露, 100 g", 1890, 11, 6, 30),
            ("Milk jug", 1790, 26, 6, 30),
            ("Scale with timer", 5490, 18, 5, 25),
            ("Cup “Größe L”", 1250, 44, 9, 50),
            ("Travel mug", 2490, 24, 6, 30),
            ("Cold brew bottle", 3290, 16, 4, 20),
            ("Descaler", 990, 30, 8, 40),
            ("Tamper 58 mm", 3990, 14, 4, 20),
            ("Knock box", 2790, 12, 3, 20),
            ("French press", 3490, 22, 5, 30),
            ("Syphon", 11900, 6, 2, 10),
            ("Roaster, 500 g", 64900, 4, 1, 6),
            ("Thermometer", 1490, 18, 4, 20),
            ("Water filter", 1690, 28, 7, 40),
            ("Matcha bowl 茶碗", 4590, 9, 3, 12),
            ("Bamboo whisk", 1990, 15, 4, 20),
            ("Teapot, cast iron", 7990, 8, 2, 10),
            ("Sugar tongs", 790, 20, 4, 20),
            ("Apron", 2990, 13, 3, 20),
            ("Cleaning brush", 690, 24, 5, 30),
            ("Storage tin", 1590, 20, 5, 30),
            ("Gift card", 5000, 90, 10, 100),
            ("Barista course", 9900, 30, 4, 30),
            ("Poster “ça va?”", 1900, 11, 2, 15),
            ("Spoon set", 1390, 17, 4, 20),
            ("Ceramic dripper", 2590, 16, 4, 20),
            ("Server, 600 ml", 2290, 12, 3, 20),
            ("Glass straw", 590, 26, 5, 30),
            ("Cocoa, 500 g", 1490, 18, 5, 30),
            ("Oat drink (6)", 1290, 32, 9, 50),
            ("Machine descaling kit", 2490, 14, 4, 20),
            ("Portafilter", 4990, 9, 2, 12),
            ("Pressure gauge", 3990, 7, 2, 10),
            ("Spare gasket", 390, 36, 8, 50),
        ]
    )
)

CUSTOMERS: Final = (
    "Zoë Østergård", "李伟", "Анна Петрова", "محمد العلي", "José Ñuñez", "Dmitri Ivanov", "Åsa Lindström",
    "Siobhán O’Brien", "François Lefèvre", "Yuki 山田", "Grace Hopper", "Ngọc Trần", "Łukasz Wiśniewski", "Θεοδώρα",
    "Priya Nair", "Jürgen Müßig", "Olu Adébáyò", "Maja Kovačević", "נועם כהן", "김민준", "Emma Brown",
    "Tom & Jerry Ltd.",
    "Robert'); DROP TABLE orders;--", "Sam 🦊 Fox", "null", "Ana-María de la Peña y Castañeda-Fernández", "Ida Berg",
    "Otto Klein", "Noor van Dijk", "Lena Fischer",
)  # fmt: skip

CITIES: Final = (
    "Berlin", "København", "Zürich", "Kraków", "İstanbul", "Paris", "São Paulo", "東京", "Göteborg", "Dublin", "Wien",
    "Praha", "Αθήνα", "Київ", "Lyon",
)  # fmt: skip

CARRIERS: Final = ("Northwind", "Kurier Süd", "Blue Post")
"""The first one has the outage."""

DEPOTS: Final = ("Hamburg Nord", "Leipzig Hub", "Köln-Bonn", "Wrocław", "Praha Západ", "Basel SBB", "Metz", "Malmö")

PACKERS: Final = ("Ines", "Rahul", "Björn", "Chloé", "Table 4")

DECLINES: Final = ("insufficient_funds", "do_not_honour", "3ds_failed", "card_expired", "limit_exceeded")

HOSTILE_NOTES: Final = (
    "<img src=x onerror=\"document.title='owned'\">",
    "<script>fetch('/steal?'+document.cookie)</script>",
    "**VIP** — [click here](javascript:alert(1)) and ![x](http://example.invalid/pixel.png)",
    "$\\frac{1}{0}$ :red[not really red] :smile: `code` | a | table |",
    '"; digraph { a -> b } "\\N\\l<b>bold?</b>',
    '=HYPERLINK("http://example.invalid","open me")',
)
"""Stored text that a careless page would run, render or follow."""

NOTES: Final = (
    "Please ring twice.",
    "Leave it with the neighbour (Frau Özdemir).",
    "It is a gift: no invoice in the box, please",
    "Bitte nicht vor 17 Uhr liefern",
    "Merci de laisser le colis à l’accueil",
    "Call me before delivery: +49 30 5550 0199",
    "请放在门口",
    "Second floor, the door sticks.\nPush hard.",
)

REVIEWS: Final = (
    "Exactly as described.",
    "Took a while, but worth it.",
    "The box was dented, the content fine 👍",
    "Never again!!",
    "Très bon café.",
    "5 stars for Rahul at the packing table",
    "",
)
