"""What a page holds that draws an avatar by itself: segments of arrays, and the packed viewer beside them.

    packing.py   arrays and words as one compressed segment of an HTML file
    person.py    mesh, joints, sliders, motion: how somebody stands, and is looked at
    playing.py   the poses that it plays
    looks.py     textures and light, sampled by the page's shaders
    networks.py  what is between the sampled channels and the picture, as ONNX

`page/` of the repository holds the viewer's sources; `make page` packs them into the files beside this one.
"""
