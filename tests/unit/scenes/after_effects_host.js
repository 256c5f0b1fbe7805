// After Effects' object model, as far as the script needs it, for a JavaScript engine. It records what the script builds.
// Setting a layer's parent moves its position into the parent's space, as After Effects does, so that nothing jumps.
// Arguments: the script, then the folder that it is in. Prints the composition as JSON.
"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const [, , script, folder] = process.argv;
const said = { alerts: [], undo: 0, comps: [], imported: [] };

class Property {
  constructor(value) { this.value = value; }
  setValue(value) {
    if (Array.isArray(this.value) !== Array.isArray(value)) throw new Error("a value of another kind");
    this.value = value;
  }
}

class Layer {
  constructor(kind, source, position, anchor) {
    const camera = { "ADBE Camera Zoom": new Property(1000), "ADBE Camera Depth of Field": new Property(1) };
    const transform = {
      "ADBE Position": new Property(position), "ADBE Anchor Point": new Property(anchor), "ADBE Scale": new Property([100, 100, 100]),
    };
    const groups = { "ADBE Transform Group": transform, ...(kind === "camera" ? { "ADBE Camera Options Group": camera } : {}) };
    Object.assign(this, { kind, source, groups, threeDLayer: kind === "camera", name: source ? source.name : kind });
    this.autoOrient = kind === "camera" ? "point of interest" : "none";
  }
  property(name) {
    if (!(name in this.groups)) throw new Error(`${this.kind} has no property ${name}`);
    return { property: (inner) => {
      if (!(inner in this.groups[name])) throw new Error(`${name} has no property ${inner}`);
      return this.groups[name][inner];
    } };
  }
  set parent(layer) {
    const at = (of, name) => of.groups["ADBE Transform Group"][name].value;
    const own = this.groups["ADBE Transform Group"]["ADBE Position"];
    own.value = own.value.map((value, k) => value - at(layer, "ADBE Position")[k] + at(layer, "ADBE Anchor Point")[k]);
    this.child = layer;
  }
}

class File {
  constructor(uri) { this.path = decodeURIComponent(uri); }
  static encode(name) { return encodeURIComponent(name); }
  get exists() { return fs.existsSync(this.path); }
  get parent() { return { absoluteURI: path.dirname(this.path).split("/").map(encodeURIComponent).join("/") }; }
}

function addComp(name, width, height, aspect, seconds, fps) {
  if (name.length > 31) throw new Error("a name of more than 31 characters");
  const made = [];
  const add = (layer) => (made.unshift(layer), layer); // new layers lie on top
  const comp = {
    name, width, height, aspect, seconds, fps, made, renderers: ["ADBE Calder", "ADBE Advanced 3d"], renderer: "ADBE Calder",
    openInViewer() {},
    layers: {
      add: (item) => add(new Layer("footage", item, [width / 2, height / 2, 0], [item.width / 2, item.height / 2, 0])),
      addCamera: (called, middle) => add(Object.assign(new Layer("camera", null, [...middle, -1000], [0, 0, 0]), { name: called })),
      addNull: () => add(new Layer("null", null, [width / 2, height / 2, 0], [50, 50, 0])),
    },
  };
  said.comps.push(comp);
  return comp;
}

const app = {
  beginUndoGroup() { said.undo++; },
  endUndoGroup() { said.undo--; },
  newProject() {
    app.project = {
      items: { addFolder: (name) => ({ name }), addComp },
      importFile({ file }) {
        const head = fs.readFileSync(file.path).subarray(16, 24); // a PNG's width and height
        const item = { width: head.readUInt32BE(0), height: head.readUInt32BE(4), mainSource: { hasAlpha: true } };
        said.imported.push(item);
        return item;
      },
    };
  },
};

vm.runInNewContext(fs.readFileSync(script, "latin1"), {
  $: { fileName: path.join(folder, "after_effects.jsx").split("/").map(encodeURIComponent).join("/") },
  app, File, ImportOptions: class { constructor(file) { this.file = file; } },
  AlphaMode: { STRAIGHT: "straight" }, AutoOrientType: { NO_AUTO_ORIENT: "none" }, alert: (text) => said.alerts.push(text),
});

const transformOf = (layer) => Object.fromEntries(Object.entries(layer.groups["ADBE Transform Group"]).map(([name, { value }]) => [name, value]));
const [comp] = said.comps;
console.log(JSON.stringify({
  alerts: said.alerts, undo: said.undo,
  comp: comp && { ...comp, made: undefined, layers: comp.made.map((layer) => ({
    kind: layer.kind, name: layer.name, threeD: layer.threeDLayer, autoOrient: layer.autoOrient, parent: layer.child ? layer.child.name : null,
    size: layer.source ? [layer.source.width, layer.source.height] : null, alpha: layer.source ? layer.source.mainSource.alphaMode : null,
    zoom: layer.kind === "camera" ? layer.groups["ADBE Camera Options Group"]["ADBE Camera Zoom"].value : null, ...transformOf(layer),
  })) },
}));
