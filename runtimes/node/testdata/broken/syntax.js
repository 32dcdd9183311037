exports.handler = async () => {
  return 1;
};
const = ;
