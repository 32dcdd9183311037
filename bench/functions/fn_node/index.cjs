'use strict';

exports.handler = async (event) => ({ message: 'Hello ' + JSON.parse(event.body).name });
