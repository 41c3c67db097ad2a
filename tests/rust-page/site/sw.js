importScripts("/shearwater/worker.js");
shearwater.start();
