// node ask.js ADDRESS PHOTOGRAPH [LATITUDE LONGITUDE ACCURACY]: what the platform's own client makes of our answer.

import { readFileSync } from "node:fs";
import { register } from "node:module";

// the package imports its files without their suffix, which bundlers understand and Node does not
const resolver = `export async function resolve(name, context, next) {
  for (const ending of ["", ".js", "/index.js"]) {
    try { return await next(name + ending, context); } catch (error) { if (!name.startsWith(".")) throw error; }
  }
  throw new Error("cannot resolve " + name);
}`;
register(`data:text/javascript,${encodeURIComponent(resolver)}`);

const { GeoPoseRequest, Sensor, Privacy, IMAGEFORMAT, SENSORTYPE, sendRequest } = await import("@oarc/gpp-access");

const [address, photograph, latitude, longitude, accuracy] = process.argv.slice(2);
const now = Date.now();
const request = new GeoPoseRequest("request-1").addSensor(new Sensor("0", SENSORTYPE.camera));
const image = readFileSync(photograph).toString("base64");
request.addCameraData(IMAGEFORMAT.JPG, [200, 160], image, 0, undefined, undefined, now, "0", new Privacy());
if (accuracy) {
  request.addSensor(new Sensor("1", SENSORTYPE.geolocation));
  const place = [Number(latitude), Number(longitude), 0, Number(accuracy), 0, 0, 0];
  request.addGeoLocationData(...place, now, "1", new Privacy());
}
console.log(JSON.stringify(await sendRequest(address, JSON.stringify(request))));
