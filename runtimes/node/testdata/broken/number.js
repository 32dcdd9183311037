exports.handler = 3;
