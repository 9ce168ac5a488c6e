import { attack } from "../../security/cases.ts";
import { nextPages } from "../mounts/next-pages.ts";

attack([nextPages]);
