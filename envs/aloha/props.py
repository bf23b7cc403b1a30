"""The objects of the tasks: where their models lie in a checkout of aloha_sim, and how they are put into the scene."""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[float, float, float, float]


@dataclass(frozen=True)
class Prop:
    """One object that can be moved.

    folder: of its model.xml, below the assets. scale: of all its meshes. texture: in the place of its own, below the
    folder of its textures. at_origin: whether its body lies at the origin of what is placed, and not where its model
    has it (aloha_sim does so in the dining scenes). plain: the colour of a stand-in.
    """

    folder: str
    scale: float | None = None
    texture: str | None = None
    at_origin: bool = False
    plain: Colour = (0.5, 0.5, 0.5, 1.0)


_BLUE: Colour = (0.16, 0.28, 0.5, 1.0)
_CUP = "gso/BIA_Cordon_Bleu_White_Porcelain_Utensil_Holder_900028"
_PLATE, _PLATE_BLUE = "ycb/029_plate/google_64k", "1k_textures/plate_blue_color.png"

DINING: dict[str, Prop] = {
    "mug": Prop("ycb/025_mug/google_64k", at_origin=True, plain=(0.62, 0.1, 0.1, 1.0)),
    "pen": Prop("edr/pen", at_origin=True),
    "banana": Prop("ycb/011_banana/google_64k", at_origin=True, plain=(0.85, 0.7, 0.15, 1.0)),
    "plate": Prop(_PLATE, 0.8, _PLATE_BLUE, at_origin=True, plain=_BLUE),
    "bowl": Prop("ycb/024_bowl/google_64k", 1.5, "bowl_blue_color.png", at_origin=True, plain=_BLUE),
    "container": Prop(_CUP, 0.6, at_origin=True),
}
TOOLS: dict[str, Prop] = {
    "caddy": Prop("gso/Sterilite_Caddy_Blue_Sky_17_58_x_12_58_x_9_14", 0.5),
    "screwdriver": Prop("gso/Craftsman_Grip_Screwdriver_Phillips_Cushion"),
    "magnifier": Prop("gso/Magnifying_Glassassrt"),
    "can_opener": Prop("gso/Granimals_20_Wooden_ABC_Blocks_Wagon", 0.8),
    "thumb_drive": Prop("gso/Kingston_DT4000MR_G2_Management_Ready_USB_64GB", 0.9),
    "scissors": Prop("gso/Diamond_Visions_Scissors_Red"),
}
"""The wagon's folder holds the can opener's model."""
DRAWER: dict[str, Prop] = {"box": Prop("edr/drawer")}
RACK: dict[str, Prop] = {
    "rack": Prop("gso/Rubbermaid_Large_Drainer"),
    "plate": Prop(_PLATE, 0.7, _PLATE_BLUE, plain=_BLUE),
}
"""The plate is scaled as aloha_sim scales what it puts on this rack."""
BOWL_RACK: dict[str, Prop] = {
    "rack": RACK["rack"],
    "bowl": Prop("ycb/024_bowl/google_64k", 0.7, "bowl_blue_color.png", plain=_BLUE),
}
"""Blue as in the dining scenes, where aloha_sim's is pink: the pink image is not among the files of `checkout`."""
SLIDES = ("joint_top_drawer_low", "joint_middle_drawer_low", "joint_bottom_drawer_low")
"""The box's drawers, which open by 0 to 0.1 m."""
