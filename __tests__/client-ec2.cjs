// The package doesn't say that it is CommonJS, so jest would parse its two megabytes twice in every test file to find out.
const client = require('../node_modules/@aws-sdk/client-ec2');

module.exports = client;
