// Loaded before the scripts (node -r), which an older Node.js cannot even parse: hence old syntax only.
var OLDEST = 18;
if (Number(process.versions.node.split(".")[0]) < OLDEST) {
  console.error(
    "entrepot: Node.js " +
      OLDEST +
      " or newer is needed, and " +
      process.execPath +
      " is " +
      process.versions.node +
      ": install one from https://nodejs.org, or use the executable that " +
      "`npm run build` makes on another machine, which needs none",
  );
  process.exit(1);
}
