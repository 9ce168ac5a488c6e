import { tryPage } from "../../browser/page.ts";

tryPage("nextjs");
