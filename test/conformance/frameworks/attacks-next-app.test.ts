import { attack } from "../../security/cases.ts";
import { nextApp } from "../mounts/next-app.ts";

attack([nextApp]);
