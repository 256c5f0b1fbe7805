"""Renders a .glb through its own camera, in Blender: `blender -b --factory-startup -P` this file `--` GLB PNG WIDTH HEIGHT."""

import sys

import bpy
import numpy

if not hasattr(numpy, "bool"):  # Debian's numpy is newer than its Blender expects
    numpy.bool = bool
glb, png, width, height = sys.argv[sys.argv.index("--") + 1 :]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=glb)
scene = bpy.context.scene
(scene.camera,) = (each for each in scene.objects if each.type == "CAMERA")
scene.render.engine = "CYCLES"
# One sample in the middle of each pixel, and rays that pass all planes.
scene.cycles.samples, scene.cycles.use_denoising = 1, False
scene.cycles.pixel_filter_type, scene.cycles.filter_width = "BOX", 0.01
scene.cycles.transparent_max_bounces = scene.cycles.min_transparent_bounces = 32
scene.view_settings.view_transform = "Standard"
scene.render.dither_intensity = 0.0
scene.render.resolution_x, scene.render.resolution_y, scene.render.resolution_percentage = int(width), int(height), 100
scene.render.filepath = png
bpy.ops.render.render(write_still=True)
