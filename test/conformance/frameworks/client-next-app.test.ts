import { callThrough } from "../../client/suite.ts";
import { nextApp } from "../mounts/next-app.ts";

callThrough([nextApp]);
