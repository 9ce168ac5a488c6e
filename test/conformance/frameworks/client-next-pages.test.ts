import { callThrough } from "../../client/suite.ts";
import { nextPages } from "../mounts/next-pages.ts";

callThrough([nextPages]);
