// dist/forms.js: forms, which only those load who track one.

export * from "../forms/index.js";
