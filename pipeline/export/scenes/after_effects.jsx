// Builds an After Effects composition from the layers of one picture. In After Effects: File > Scripts > Run Script File.
// Leave this file in its folder: it reads the layers' PNG files beside it. Made by Multiplane; ECMAScript 3.
(function () {
  var scene = {{SCENE}};
  var here = new File($.fileName).parent;

  function fileOf(name) {
    // File reads its argument as a URI, in which % begins a code.
    return new File(here.absoluteURI + "/" + File.encode(name));
  }

  // Match names are the same in every language of After Effects.
  function transform(layer, name) {
    return layer.property("ADBE Transform Group").property(name);
  }

  function missing() {
    var names = [];
    for (var k = 0; k < scene.layers.length; k++) {
      if (!fileOf(scene.layers[k].file).exists) {
        names.push(scene.layers[k].file);
      }
    }
    return names;
  }

  function footageOf(entry, folder) {
    var footage = app.project.importFile(new ImportOptions(fileOf(entry.file)));
    footage.name = entry.name;
    footage.parentFolder = folder;
    if (footage.mainSource.hasAlpha) {
      footage.mainSource.alphaMode = AlphaMode.STRAIGHT;
    }
    return footage;
  }

  function build() {
    if (!app.project) {
      app.newProject();
    }
    var middle = [scene.width / 2, scene.height / 2];
    var folder = app.project.items.addFolder(scene.title);
    var comp = app.project.items.addComp(scene.title, scene.width, scene.height, 1, scene.seconds, scene.fps);
    comp.parentFolder = folder;
    for (var r = 0; r < comp.renderers.length; r++) {
      if (comp.renderers[r] === "ADBE Advanced 3d") {
        comp.renderer = "ADBE Advanced 3d"; // "Classic 3D": flat layers, no lights needed
      }
    }
    for (var k = 0; k < scene.layers.length; k++) {
      var entry = scene.layers[k];
      var layer = comp.layers.add(footageOf(entry, folder)); // on top of those before it
      layer.name = entry.name;
      layer.threeDLayer = true;
      transform(layer, "ADBE Position").setValue([middle[0], middle[1], entry.z]);
      transform(layer, "ADBE Scale").setValue([entry.scale, entry.scale, 100]);
    }
    var camera = comp.layers.addCamera("Camera", middle);
    camera.autoOrient = AutoOrientType.NO_AUTO_ORIENT; // without a point of interest it looks straight ahead
    camera.property("ADBE Camera Options Group").property("ADBE Camera Zoom").setValue(scene.zoom);
    camera.property("ADBE Camera Options Group").property("ADBE Camera Depth of Field").setValue(0);
    transform(camera, "ADBE Position").setValue([middle[0], middle[1], -scene.zoom]);
    var handle = comp.layers.addNull(scene.seconds);
    handle.name = "Move the camera";
    handle.threeDLayer = true;
    transform(handle, "ADBE Anchor Point").setValue([0, 0, 0]);
    transform(handle, "ADBE Position").setValue([middle[0], middle[1], 0]);
    camera.parent = handle; // the camera stays where it is
    comp.openInViewer();
  }

  var lost = missing();
  if (lost.length > 0) {
    alert("These layers are not beside the script: " + lost.join(", ") + ". Put the script back into its folder, and run it again.");
    return;
  }
  app.beginUndoGroup("Multiplane: " + scene.title);
  try {
    build();
  } finally {
    app.endUndoGroup();
  }
})();
