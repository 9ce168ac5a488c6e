import { createServer } from "node:http";
import { createHandler } from "@keyway/express";
import express from "express";
import { type Mount, listen, mountPath } from "../mount.ts";

export const express5: Mount = {
  name: "express 5",
  transport: "node",
  startMount(options) {
    const proxy = createHandler(options);
    const server = createServer(express().disable("x-powered-by").use(mountPath, proxy));
    return listen(server.on("upgrade", proxy.upgrade), proxy);
  },
};
