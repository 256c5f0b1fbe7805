// Prints as JSON what Khronos' validator finds in a .glb, and what is no ECMAScript 3 in a .jsx.
"use strict";
const fs = require("fs");
const acorn = require("acorn");
const validator = require("gltf-validator");

const [, , glb, jsx] = process.argv;
let wrong = null;
try {
  acorn.parse(fs.readFileSync(jsx, "ascii"), { ecmaVersion: 3 });
} catch (error) {
  wrong = String(error);
}
validator.validateBytes(new Uint8Array(fs.readFileSync(glb))).then(({ issues }) => console.log(JSON.stringify({ issues, wrong })));
