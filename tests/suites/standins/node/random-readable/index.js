// In the place of a package that npm does not have any more: a stream of random text without an end.
const { randomBytes } = require("node:crypto");
const { Readable } = require("node:stream");

exports.createRandomStream = () => new Readable({ read: function () { 
    this.push(randomBytes(512).toString("hex"));
  } });
