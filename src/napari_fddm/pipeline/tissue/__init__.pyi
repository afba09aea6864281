from .find import tissue_of_slide as tissue_of_slide
from .user_mask import read_user_mask as read_user_mask

__all__ = [
    "read_user_mask",
    "tissue_of_slide",
]
