"""The picture-book world: scenes composed from openly licensed drawings, with everything about them known exactly."""
