// What the program of zUnit, a test runner, does, but with TAP in place of a picture of the outcome.
const { Harness, Suite, TapReporter, syntax } = require("zunit");
const { zUnit: options } = require(`${process.cwd()}/package.json`);

class Tap extends TapReporter {
  withSuite() {
    return new Tap(this._options);
  }

  // the reason belongs behind the line of the test
  withTest(test) {
    let reason = "";
    test.on("failed", (_, error) => (reason = error.stack || String(error)));
    test.on("finished", (result) => {
      this._testOutcomeHandlers[result](test);
      if (reason) this._diagnostic({ stack: reason });
    });
    return this;
  }
}

Object.assign(globalThis, syntax);
new Suite("suite").discover({ pattern: new RegExp(options.pattern) }).then((suite) => new Harness(suite).run(new Tap())).then(() => process.exit(0));
