import { tryPage } from "../../browser/page.ts";

tryPage("sveltekit");
